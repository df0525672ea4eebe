DROP TABLE sync_trimmed;
