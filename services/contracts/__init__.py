"""The shapes on the wire that services, client and partners share. Plain Pydantic: nothing here does I/O."""
