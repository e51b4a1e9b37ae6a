"""How a request travels: guard > retry > governor > batcher > auth > wire."""
