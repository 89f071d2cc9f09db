"""The simulated managed objects of the house: one file per kind. They read and change documents, and keep nothing."""
