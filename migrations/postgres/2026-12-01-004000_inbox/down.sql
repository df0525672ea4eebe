DROP TABLE kombo.sync_webhook_inbox;
