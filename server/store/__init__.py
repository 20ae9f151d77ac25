"""What the server keeps: tables, numbered migrations, queries. SQL that SQLite and PostgreSQL both take."""
