from ..organizations.blueprint import inside_organization

bp = inside_organization("notices", __name__)
