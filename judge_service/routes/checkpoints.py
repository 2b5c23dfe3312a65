"""`/checkpoints`: what there is, and the three changes an operator can make. Needs the scope `admin`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from judge_service.checkpoints.hot_loading import HotLoading
from services.contracts.checkpoints import (
    ActivateRequest,
    CheckpointList,
    CheckpointView,
    RollbackRequest,
)
from services.web.auth import Principal, require

Admin = Annotated[Principal, Depends(require("admin"))]
Version = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name of the checkpoint.")]
_NO_FORCE = ActivateRequest()
_LATEST = RollbackRequest()


def checkpoints_router(hot_loading: HotLoading) -> APIRouter:
    """Return the routes over `hot_loading`."""
    router = APIRouter(prefix="/checkpoints", tags=["checkpoints"])
    switch, catalogue = hot_loading.switch, hot_loading.catalogue

    @router.get("", summary="All checkpoints, the pointer, the replicas and the latest changes")
    async def list_checkpoints(_: Admin) -> CheckpointList:
        return await catalogue.all()

    @router.get("/{version}", summary="One checkpoint")
    async def read_checkpoint(version: Version, _: Admin) -> CheckpointView:
        return catalogue.one(version)

    @router.post("/rollback", summary="Go back to the checkpoint that served before")
    async def roll_back(request: Request, admin: Admin, body: RollbackRequest = _LATEST) -> CheckpointList:
        change = switch.rollback(by=admin.name, from_version=body.from_version)
        await hot_loading.finish(change, request.state.deadline)
        return await catalogue.all()

    @router.post("/{version}/activate", summary="Verify, load, try and switch to a checkpoint")
    async def activate(
        version: Version, request: Request, admin: Admin, body: ActivateRequest = _NO_FORCE
    ) -> CheckpointView:
        change = switch.activate(version, by=admin.name, force=body.force)
        await hot_loading.finish(change, request.state.deadline)
        return catalogue.one(version)

    @router.post("/{version}/retire", summary="Take a checkpoint out of what may be promoted")
    async def retire(version: Version, request: Request, admin: Admin) -> CheckpointView:
        await hot_loading.finish(switch.retire(version, by=admin.name), request.state.deadline)
        return catalogue.one(version)

    return router
