"""Images as uint8 arrays: where they come from, how they are framed, and the cache of decoded ones."""
