-- SQLite has one writer at a time: seq is in the order of commits.
SELECT 1;
