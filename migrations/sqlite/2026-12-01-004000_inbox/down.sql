DROP TABLE sync_webhook_inbox;
