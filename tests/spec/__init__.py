"""The protocol document as a test: its rules, tables, picture and vectors against the code."""
