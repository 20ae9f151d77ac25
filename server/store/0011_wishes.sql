-- Whether those who look after a person of age may see where the code was read: 0 or 1, by the person's own word.
ALTER TABLE residents ADD COLUMN shares_places BIGINT NOT NULL DEFAULT 0;
