"""The paper's claims held against an atlas: weighs and words, measures nothing."""
