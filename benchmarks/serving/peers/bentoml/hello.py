"""BentoML's trivial endpoint."""

import bentoml


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Hello:
    @bentoml.api
    async def helloworld(self) -> str:
        return "hello world"
