"""Tests of aullava.evaluation."""
