"""Who people and machines are, what they may do, and how they prove it."""
