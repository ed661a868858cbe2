"""The steps from nothing to today's tables. A step that has been released is never changed; add another."""
