"""One prompt to several models side by side. Read: forms, starting, board, stream, choosing, differences, listing."""
