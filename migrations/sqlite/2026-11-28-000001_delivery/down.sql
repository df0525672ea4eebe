DROP TABLE sync_dead_letters;
DROP TABLE sync_delivery_start;
DROP TABLE sync_deliveries;
