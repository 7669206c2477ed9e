"""LitServe's trivial endpoint."""

import litserve

from benchmarks.serving import environment


class Hello(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def predict(self, x: object) -> str:
        return "hello world"


if __name__ == "__main__":
    litserve.LitServer(Hello(), accelerator="cpu", fast_queue=True).run(
        host="127.0.0.1",
        port=environment.port(),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
