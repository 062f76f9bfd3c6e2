"""The live window: finished segments in memory, and the journal that lets it survive a restart."""
