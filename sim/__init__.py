"""The simulator: real cycles of real clusters in a world that is made of one seed."""
