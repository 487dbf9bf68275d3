"""From bytes to examples in memory."""
