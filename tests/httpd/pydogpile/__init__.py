# SPDX-License-Identifier: Apache-2.0
"""What the tests against a real httpd are made of; docs/TESTING.md explains."""
