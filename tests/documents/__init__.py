"""Tests of the documents: links, commands, values and fields that they name, the site, and what can be run is run."""
