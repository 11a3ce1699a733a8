"""The saddle lab: which methods leave a saddle, which cannot, and what gave those that do their direction."""
