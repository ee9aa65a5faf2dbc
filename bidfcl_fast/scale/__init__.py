"""Beyond one machine's memory, and beyond one machine: drivers of one search, which return the plan one process returns.

parquet             allocate on Parquet files and folders of any size, in bounded memory
torch_distributed   `solve_mckp` where every rank of a process group holds some of the users
spark               allocate on a PySpark DataFrame, without collecting users

Each of them is imported by its name; importing this package loads none.
"""
