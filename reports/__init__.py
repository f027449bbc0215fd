"""What a person or CI reads: renderers and the command line. Renderers never compute results."""
