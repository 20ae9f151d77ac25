-- What is known of each unit now. presence: online, offline, silent, unknown; word: what it last said of itself; info, status, lane and
-- alerts are the unit's own messages, JSON; change: the fleet's counter when the row was last written.
CREATE TABLE fleet_states (
    unit TEXT PRIMARY KEY,
    presence TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    word TEXT NOT NULL,
    word_ms BIGINT NOT NULL,
    heard_ms BIGINT,
    status_ms BIGINT,
    info TEXT NOT NULL,
    status TEXT NOT NULL,
    lane TEXT NOT NULL,
    alerts TEXT NOT NULL,
    change BIGINT NOT NULL
);
CREATE INDEX fleet_states_by_change ON fleet_states (change);

-- One row: the counter of changes; since when the bridge listens, and when it last said so.
CREATE TABLE fleet_bridge (
    id BIGINT PRIMARY KEY,
    change BIGINT NOT NULL,
    since_ms BIGINT,
    beat_ms BIGINT
);
INSERT INTO fleet_bridge (id, change) VALUES (1, 0);

-- What happened in each hour, counted (JSON); the unit '' is all of them together.
CREATE TABLE fleet_hours (
    unit TEXT NOT NULL,
    hour_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (unit, hour_ms)
) {clustered};
CREATE INDEX fleet_hours_by_time ON fleet_hours (hour_ms);

CREATE INDEX events_of_unit ON events (unit, received_ms);

INSERT INTO fleet_states (unit, presence, since_ms, word, word_ms, heard_ms, info, status, lane, alerts, change)
    SELECT unit, 'unknown', added_ms, CASE state WHEN 'unknown' THEN '' ELSE state END, coalesce(last_seen_ms, 0), last_seen_ms, '', '', '', '', 0
    FROM units WHERE last_seen_ms IS NOT NULL;
ALTER TABLE units DROP COLUMN state;
ALTER TABLE units DROP COLUMN software;
ALTER TABLE units DROP COLUMN last_seen_ms;
