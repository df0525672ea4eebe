-- SQLite changes rows in their place.

SELECT 1;
