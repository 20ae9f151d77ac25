-- How many residents of each district have each colour (or `pending`), a day at a time; the day is China's, YYYY-MM-DD.
-- Counted anew while the day lasts; counted_days says when, and up to which ruling.

CREATE TABLE daily_counts (
    day TEXT NOT NULL,
    district TEXT NOT NULL,
    colour TEXT NOT NULL,
    people BIGINT NOT NULL,
    PRIMARY KEY (day, district, colour)
);

CREATE TABLE counted_days (
    day TEXT PRIMARY KEY,
    counted_ms BIGINT NOT NULL,
    ruling BIGINT NOT NULL
);

-- With which reason from the list a review was decided (server/reviews.py).
ALTER TABLE reviews ADD COLUMN decided_why TEXT NOT NULL DEFAULT '';

-- What was issued to one person, the newest first, for who answers why a code is there.
CREATE INDEX codes_issued_of_resident ON codes_issued (resident, issue);
