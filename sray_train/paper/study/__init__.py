"""The paper's systems and ablations on one bench.

plan            what a YAML of config/studies asks for
jobs            the runs that makes, in order: unseen_scenes trains and scores, single_scenes learns one by one
folder, locks   where runs keep their checkpoints, and who is at which
record          what a run leaves: tables are built from records alone
"""
