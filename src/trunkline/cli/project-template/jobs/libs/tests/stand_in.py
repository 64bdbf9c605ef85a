"""Stands in for the API, on this machine: in the tests, and for `make execute` after `make api`."""

from trunkline.testing import FaultServer

TOKEN = "local-token"
ORDERS = [
    {"id": 1, "customer": "Ann", "status": "paid", "amount": "3.50"},
    {"id": 2, "customer": "Bob", "status": "open", "amount": "9.00"},
    {"id": 3, "customer": "Ann", "status": "paid", "amount": "4.25"},
]


def serve(server: FaultServer) -> None:
    """Orders, two a page, for who has the token."""
    allowed = {"header": {"Authorization": f"Bearer {TOKEN}"}}
    refusal = {"unless": allowed, "status": 401, "body": {"error": "invalid_token"}}
    server.dataset("GET /orders", rows=ORDERS, paging="nextUrl", size=2, steps=[refusal])


if __name__ == "__main__":
    with FaultServer() as server:
        serve(server)
        print(f"In another shell: make execute JOB=sample_job ARGS=--url={server.url}")
        input("Enter ends it. ")
