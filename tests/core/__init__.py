"""Tests of the core's parts, one by one: tables, and one real node among peers whose frames are written by hand."""
