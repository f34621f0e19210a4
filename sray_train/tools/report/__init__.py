"""Reports a person looks at: pictures, scores and timings of a run as one HTML page without external resources."""
