"""Results as text or JSON: values in, strings out. Nothing here prints, and nothing here knows a database."""
