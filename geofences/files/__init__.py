"""Files of fences: GeoJSON, KML and GPX, each read as a stream and written fence by fence. No HTTP, no database."""
