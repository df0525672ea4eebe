-- SQLite tells nobody.

SELECT 1;
