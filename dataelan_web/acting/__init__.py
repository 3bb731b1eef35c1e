"""The one way on which something that a model writes can act: offered, checked, repaired, approved, delivered.

declaring   what a project lets models ask for, in versions that never change
offering    to a prompt's model: as tools, or by the answer's own schema, or not, with the reason
path        from a call in an answer to its end: what a worker does with it
repairing   a run of its own that asks the model for better arguments
deciding    a person approves or declines
delivering  the outbox: claimed, sent, tried again, given up, logged
"""
