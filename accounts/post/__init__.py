"""E-mails of the accounts: written while the person waits, sent by the maintenance worker."""
