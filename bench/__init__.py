"""The benchmark: python -m bench --database sqlite --seconds 3 --concurrency 32."""
