-- A proposal may be about the number by which somebody is known: its colour is empty then, and sealed is the new number until it is decided.
ALTER TABLE proposals ADD COLUMN sealed {binary};
