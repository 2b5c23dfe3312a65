"""`GET /rubric`: what the scores mean."""

from fastapi import APIRouter

from services.rubric.rubric import Rubric


def rubric_router(rubric: Rubric) -> APIRouter:
    """Return the route that shows `rubric`."""
    router = APIRouter(tags=["rubric"])

    @router.get("/rubric", summary="The seven dimensions and their anchors")
    async def read_rubric() -> Rubric:
        return rubric

    return router
