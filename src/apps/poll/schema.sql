BEGIN;
-- choices: a JSON list of texts, so that the file can be read without the quiz.
CREATE TABLE votes (
  question TEXT NOT NULL, voter TEXT NOT NULL, choices TEXT NOT NULL, at TEXT NOT NULL,
  UNIQUE (question, voter)
);
-- What the room is at: the question shown, each question's phase, the answers that may be shown.
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA application_id = 0x706f6c6c; -- "poll"
PRAGMA user_version = 2;
COMMIT;
