# ROS 2 with this package, built as README's "On your robot" says:
#   docker build -t sray_ros . && docker run --rm -it --net=host sray_ros ros2 launch sray_ros semantic_mapping.launch.py
ARG ROS_DISTRO=kilted
FROM ros:${ROS_DISTRO}-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV WORKSPACE=/ws
WORKDIR ${WORKSPACE}

# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-venv g++ make \
    && rm -rf /var/lib/apt/lists/*

# The manifests alone: another line of code installs nothing anew.
COPY package.xml src/sray_ros/
COPY sray_interfaces/package.xml src/sray_interfaces/
RUN apt-get update && rosdep update --rosdistro "${ROS_DISTRO}" && rosdep install --from-paths src -iy \
    && rm -rf /var/lib/apt/lists/*

# With a GPU, give the build of torch for it: --build-arg TORCH=...
ARG TORCH=torch==2.13.0
# hadolint ignore=DL3013
RUN python3 -m venv --system-site-packages venv && touch venv/COLCON_IGNORE \
    && venv/bin/pip install --no-cache-dir "${TORCH}" safetensors jaxtyping rosbags

COPY . src/sray_ros
RUN rm -rf src/sray_interfaces && ln -s sray_ros/sray_interfaces src/sray_interfaces \
    && . "/opt/ros/${ROS_DISTRO}/setup.bash" && . venv/bin/activate && python -m colcon build \
    && printf '#!/bin/bash\nset -e\nsource %s/venv/bin/activate\nsource %s/install/setup.bash\nexec "$@"\n' \
        "${WORKSPACE}" "${WORKSPACE}" > /sray_entrypoint.sh && chmod +x /sray_entrypoint.sh

ENTRYPOINT ["/sray_entrypoint.sh"]
CMD ["bash"]
