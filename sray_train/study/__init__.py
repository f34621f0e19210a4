"""The paper's systems and ablations on one bench: a study's runs, and the records its tables are built from."""
