"""Housekeeping: what each policy makes of a look at the indices. Decides only; nothing is done."""
