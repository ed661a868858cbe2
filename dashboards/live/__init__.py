"""The live room: a page and a REST API that show what happens now. Importing it costs nothing."""
