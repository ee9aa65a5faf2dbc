"""One module for each command of `bidfcl`; each has `run(args)`, prints its answer and raises what went wrong."""
