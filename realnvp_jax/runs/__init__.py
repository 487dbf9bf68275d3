"""The training program: a run, its workdir, and everything that it writes and reads there."""
